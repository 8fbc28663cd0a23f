# RFC 5232 §3, §5: the internal variable, and :flags.
require ["fileinto", "imap4flags"];
setflag "\\Deleted";
if header :contains "from" "coyote" { setflag "\\Flagged"; }
addflag ["\\Seen", "$Label1 $label2"];
removeflag "\\seen";
fileinto :flags ["\\Deleted", "\\Seen"] "other";
fileinto "INBOX.a";
keep;
/*
== expect
fileinto "other" (\Deleted \Seen)
fileinto "INBOX.a" (\Flagged $Label1 $label2)
keep (\Flagged $Label1 $label2)
*/
