fileinto "x";
if header :contians "a" "b" { keep; }
require "fileinto";
redirect "nobody";
if address "Subject" "x" { keep; }
if true { kepp; }
stop "now";
keep
/*
== expect
fault 13:1
*/
