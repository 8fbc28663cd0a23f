require "reject";
discard;
reject "no";
/*
== expect
discard
reject "no"
*/
