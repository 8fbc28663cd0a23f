require ["include"];
include "a";
/*
== script a
require "include";
include "b";
== script b
require "include";
include "a";
== expect
implicit keep
error: line 2: the script "a" includes itself
*/
