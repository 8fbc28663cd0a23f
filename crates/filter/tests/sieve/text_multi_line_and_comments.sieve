# Comments of both kinds, and a multi-line string with dot-stuffing.
require "reject"; /* one
more */
if header :contains "from" "coyote" {
reject text: # a comment
I am not taking mail from you, and I don't
..
..want your birdseed, either!
.
;
}
/*
== expect
reject "I am not taking mail from you, and I don't\r\n.\r\n.want your birdseed, either!\r\n"
*/
