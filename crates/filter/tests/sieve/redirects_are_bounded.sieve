redirect "a@example.org"; redirect "b@example.org"; redirect "c@example.org";
redirect "d@example.org"; redirect "e@example.org";
/*
== expect
implicit keep
error: line 2: the script needs more redirects than are allowed: make it simpler
*/
