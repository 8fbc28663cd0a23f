# RFC 5228 §2.7.1, the example of a list: any value and any key.
if header :contains ["To", "Cc"] ["nobody", "roadrunner@acme.example.com"] { discard; }
/*
== expect
discard
*/
