if false { discard; }
/*
== expect
implicit keep
*/
