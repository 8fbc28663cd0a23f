require ["fileinto", "imapflags"];
/*
== expect
fault 1:22
*/
