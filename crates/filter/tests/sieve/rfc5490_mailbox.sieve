# RFC 5490 §3, §4.
require ["fileinto", "mailbox", "mboxmetadata", "servermetadata"];
if mailboxexists ["Partners", "Work"] { fileinto "Partners"; } else { fileinto :create "Work"; }
if metadata :is "INBOX" "/private/vendor/vacation" "on" { fileinto "on"; }
if metadataexists "INBOX" ["/private/vendor/vacation", "/private/none"] { fileinto "both"; }
if servermetadata :contains "/shared/admin" "root" { fileinto "server"; }
if servermetadataexists "/shared/admin" { fileinto "exists"; }
/*
== context
mailbox Partners
metadata INBOX /private/vendor/vacation on
metadata * /shared/admin mailto:root@example.org
== expect
fileinto "Work" :create
fileinto "on"
fileinto "server"
fileinto "exists"
*/
