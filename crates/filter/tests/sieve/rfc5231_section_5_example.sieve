# RFC 5231 §6, the table of results for the message there.
require ["relational", "comparator-i;ascii-numeric", "fileinto"];
if address :count "ge" :comparator "i;ascii-numeric" ["to", "cc"] ["3"] { fileinto "1"; }
if anyof ( address :count "ge" :comparator "i;ascii-numeric" ["to"] ["3"],
           address :count "ge" :comparator "i;ascii-numeric" ["cc"] ["3"] ) { fileinto "2"; }
if header :count "ge" :comparator "i;ascii-numeric" ["received"] ["3"] { fileinto "3"; }
if header :count "ge" :comparator "i;ascii-numeric" ["received", "subject"] ["3"] { fileinto "4"; }
if header :count "ge" :comparator "i;ascii-numeric" ["to", "cc"] ["3"] { fileinto "5"; }
/*
== message
received: ...
received: ...
subject: example
to: foo@example.com, baz@example.com
cc: qux@example.com

== expect
fileinto "1"
fileinto "4"
*/
