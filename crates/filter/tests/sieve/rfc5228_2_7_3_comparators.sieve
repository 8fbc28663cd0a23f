require ["comparator-i;octet", "comparator-i;ascii-numeric", "fileinto"];
if header :is :comparator "i;octet" "Subject" "I HAVE A PRESENT FOR YOU" { fileinto "no"; }
if header :is :comparator "i;ascii-casemap" "Subject" "I HAVE A PRESENT FOR YOU" { fileinto "casemap"; }
if header :is :comparator "i;ascii-numeric" "Subject" "no number" { fileinto "both infinite"; }
/*
== expect
fileinto "casemap"
fileinto "both infinite"
*/
