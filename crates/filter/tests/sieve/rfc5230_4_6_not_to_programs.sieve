require "vacation";
vacation "away";
/*
== context
from some-list-request@example.net
== message
To: me@example.com

== expect
implicit keep
*/
