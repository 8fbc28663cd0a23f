# RFC 5235 §2, §3.
require ["spamtest", "virustest", "fileinto", "relational", "comparator-i;ascii-numeric"];
if spamtest :value "eq" :comparator "i;ascii-numeric" "0" { fileinto "untested"; }
elsif spamtest :value "ge" :comparator "i;ascii-numeric" "3" { fileinto "INBOX.spam-trap"; }
if virustest :value "eq" :comparator "i;ascii-numeric" "4" { fileinto "INBOX.quarantine"; }
/*
== context
spam 40
virus 4
== expect
fileinto "INBOX.spam-trap"
fileinto "INBOX.quarantine"
*/
