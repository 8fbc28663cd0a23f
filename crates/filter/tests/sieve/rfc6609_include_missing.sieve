require ["include"];
include "missing";
/*
== expect
implicit keep
error: line 2: there is no script "missing" to include, or it has faults: upload it again
*/
