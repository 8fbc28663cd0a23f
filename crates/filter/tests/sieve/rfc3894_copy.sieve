# RFC 3894 §3.1, §3.2.
require ["copy", "fileinto"];
fileinto :copy "incoming";
if header :contains "From" "coyote" { redirect :copy "acm@example.com"; }
/*
== expect
fileinto "incoming" :copy
redirect acm@example.com :copy
implicit keep
*/
