require "fileinto";
fileinto "a";
fileinto "b";
fileinto "c";
/*
== context
steps 2
== expect
implicit keep
error: line 4: the script needs more steps than are allowed: make it simpler
*/
