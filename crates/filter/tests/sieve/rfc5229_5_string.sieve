require ["variables", "fileinto", "relational", "comparator-i;ascii-numeric"];
set "state" "${state} pending";
if string :matches " ${state} " "* pending *" { fileinto "pending"; }
if string :count "eq" :comparator "i;ascii-numeric" ["${state}", "${nothing}"] "1" { fileinto "one"; }
/*
== expect
fileinto "pending"
fileinto "one"
*/
