if header :contains ["from"] ["idiot@example.com"] { discard; }
/*
== message
From: idiot@example.com
To: me@example.com

== expect
discard
*/
