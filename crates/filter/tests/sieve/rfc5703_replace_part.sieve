# RFC 5703 §9.2: an attachment gives way to words about it.
require ["foreverypart", "mime", "replace", "fileinto"];
foreverypart {
    if header :mime :contenttype :is "Content-Type" "application/zip" {
        replace text:
The attachment was removed.
.
;
    }
}
if header :mime :anychild :contenttype "Content-Type" "application/zip" { fileinto "still there"; }
redirect "other@example.org";
keep;
/*
== message
Content-Type: multipart/mixed; boundary=x

--x

hello
--x
Content-Type: application/zip

PK
--x--

== expect
redirect other@example.org
keep
| Content-Type: multipart/mixed; boundary=x
|
| --x
|
| hello
| --x
| Content-Type: text/plain; charset=us-ascii
| Content-Transfer-Encoding: 7bit
|
| The attachment was removed.
|
| --x--
*/
