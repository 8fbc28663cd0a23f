require "vacation";
vacation "away";
/*
== context
from <>
== message
To: me@example.com

== expect
implicit keep
*/
