require "ihave";
if not ihave "vnd.unknown" { error "the extension is missing"; }
discard;
/*
== expect
implicit keep
error: line 2: the script says: the extension is missing
*/
