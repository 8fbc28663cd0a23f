# RFC 8579 §4, §5.
require ["fileinto", "special-use", "mailbox"];
if specialuse_exists "\\Junk" { fileinto :specialuse "\\Junk" "INBOX/Spam"; }
if specialuse_exists "INBOX/Spam" "\\Archive" { fileinto "no"; }
fileinto :specialuse "\\Archive" :create "INBOX/Archive";
/*
== context
special-use Junk \Junk
== expect
fileinto "INBOX/Spam" :specialuse \Junk
fileinto "INBOX/Archive" :create :specialuse \Archive
*/
