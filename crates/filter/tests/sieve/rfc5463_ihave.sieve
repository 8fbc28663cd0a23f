# RFC 5463 §4, the example: what is not there is not looked at.
require ["ihave", "fileinto"];
if ihave "vnd.unknown" {
    unknown_command :tag "x" { any thing; }
} elsif allof (ihave ["copy", "variables"], true) {
    set "a" "there";
    fileinto :copy "${a}";
}
if not ihave "copy" { nonsense; }
/*
== expect
fileinto "there" :copy
implicit keep
*/
