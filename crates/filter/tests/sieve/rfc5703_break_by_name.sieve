require ["foreverypart", "mime", "fileinto"];
foreverypart :name "outer" {
    foreverypart {
        if header :mime :is "X-Part" "two" { fileinto "two"; break :name "outer"; }
        if header :mime :is "X-Part" "three" { fileinto "three"; }
    }
}
/*
== message
Content-Type: multipart/mixed; boundary=x

--x
X-Part: one

--x
X-Part: two

--x
X-Part: three

--x--

== expect
fileinto "two"
*/
