# RFC 5228 §2.7.4: the local part alone.
require "fileinto";
if address :is :localpart "from" "COYOTE" { fileinto "local"; }
if address :is :domain "from" "desert.example.org" { fileinto "domain"; }
if address :is :all "from" "coyote@desert.example.org" { fileinto "all"; }
if address :domain :is ["From", "To"] "example.com" { fileinto "no"; }
/*
== expect
fileinto "local"
fileinto "domain"
fileinto "all"
*/
