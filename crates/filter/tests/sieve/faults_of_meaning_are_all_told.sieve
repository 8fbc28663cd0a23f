fileinto "x";
if header :contians "a" "b" { keep; }
require "fileinto";
redirect "nobody";
if address "Subject" "x" { keep; }
if true { kepp; }
stop "now";
if size "5" { }
if header :contains :is "a" "b" { }
if keep { }
true;
if header "a" :is "b" { }
/*
== expect
fault 1:1
fault 2:11
fault 3:1
fault 4:1
fault 5:4
fault 6:11
fault 7:6
fault 8:4
fault 9:21
fault 10:4
fault 11:1
fault 12:15
*/
