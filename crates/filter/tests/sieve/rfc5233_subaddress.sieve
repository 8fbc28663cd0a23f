# RFC 5233 §5.
require ["envelope", "subaddress", "fileinto"];
if envelope :detail "to" "" { discard; }
if envelope :user :is "to" "postmaster" { fileinto "postmaster"; }
if address :detail :is "to" "mta-filters" { fileinto "mta-filters"; }
if allof (envelope :detail :matches "to" "*", not envelope :detail "to" "x") { fileinto "detail"; }
/*
== context
to postmaster@example.com
== message
To: ken+mta-filters@example.org

== expect
fileinto "postmaster"
fileinto "mta-filters"
*/
