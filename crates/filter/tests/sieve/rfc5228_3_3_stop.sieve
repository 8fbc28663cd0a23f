require "fileinto";
fileinto "A";
if true { stop; }
fileinto "B";
/*
== expect
fileinto "A"
*/
