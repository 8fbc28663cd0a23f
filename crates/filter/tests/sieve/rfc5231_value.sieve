# RFC 5231 §6, about priorities.
require ["relational", "comparator-i;ascii-numeric", "fileinto"];
if header :value "lt" :comparator "i;ascii-numeric" ["x-priority"] ["3"] { fileinto "Priority"; }
/*
== message
X-Priority: 1 (highest)

== expect
fileinto "Priority"
*/
