# RFC 5429 §2.2.1, the example.
require ["reject"];
if size :over 100 {
   reject text:
Your message is too big.  If you want to send me a big attachment,
put it on a public web site and send me a URL.
.
;
}
/*
== expect
reject "Your message is too big.  If you want to send me a big attachment,\r\nput it on a public web site and send me a URL.\r\n"
*/
