require "vacation";
vacation "away";
/*
== context
answered sender@example.net
== message
To: me@example.com

== expect
implicit keep
*/
