require "vacation";
vacation "away";
/*
== message
From: sender@example.net
To: undisclosed-recipients:;

== expect
implicit keep
*/
