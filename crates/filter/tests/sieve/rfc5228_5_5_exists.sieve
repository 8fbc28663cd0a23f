if not exists ["From", "Date"] { discard; }
/*
== message
From: a@example.org

== expect
discard
*/
