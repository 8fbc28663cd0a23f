# RFC 5228 §5.4: the null reverse-path is the empty string.
require ["envelope", "fileinto"];
if envelope :is "from" "" { fileinto "bounces"; }
if envelope :domain :is "from" "" { fileinto "domain"; }
/*
== context
from <>
== expect
fileinto "bounces"
fileinto "domain"
*/
