require "vacation";
vacation "away";
vacation "really away";
/*
== message
To: me@example.com

== expect
implicit keep
error: line 3: vacation and another vacation exclude each other: take one of the two away
*/
