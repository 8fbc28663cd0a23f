# RFC 5183 §4.
require ["environment", "fileinto", "variables"];
if environment :matches "remote-host" "*.example.com" { fileinto "1"; }
if environment :is "phase" "post" { fileinto "2"; }
if environment :contains "unknown" "" { fileinto "3"; }
if environment :matches "version" "*" { fileinto "4"; }
/*
== context
environment remote-host mail.example.com
environment phase during
== expect
fileinto "1"
fileinto "4"
*/
