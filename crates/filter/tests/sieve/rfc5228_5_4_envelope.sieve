require "envelope";
if envelope :all :is "from" "tim@example.com" { discard; }
/*
== context
from tim@example.com
== expect
discard
*/
