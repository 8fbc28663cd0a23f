# RFC 5232 §2: the implicit keep has the flags, too.
require "imap4flags";
addflag "flag1 \\recent ba(d";
/*
== expect
implicit keep (flag1)
*/
