require ["ereject"];
if header :contains "from" "coyote@desert.example.org" {
   ereject text:
I am not taking mail from you, and I don't
want your birdseed, either!
.
;
}
/*
== expect
ereject "I am not taking mail from you, and I don't\r\nwant your birdseed, either!\r\n"
*/
