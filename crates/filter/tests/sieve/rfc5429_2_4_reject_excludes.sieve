require ["reject", "fileinto"];
fileinto "A";
reject "no";
/*
== expect
implicit keep
error: line 3: fileinto and reject exclude each other: take one of the two away
*/
