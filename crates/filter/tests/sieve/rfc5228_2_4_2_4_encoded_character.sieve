# RFC 5228 §2.4.2.4.
require ["encoded-character", "fileinto"];
if header :contains "Subject" "$${hex:24 24}" { fileinto "spam"; }
/*
== message b
== expect
fileinto "spam"
*/
