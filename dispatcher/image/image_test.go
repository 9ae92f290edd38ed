package image

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	digest, other := "sha256:"+strings.Repeat("0a", 32), "sha256:"+strings.Repeat("1", 64)
	for _, c := range []struct{ object, digest, base, pinned string }{
		{"oci://quay.io/me/pass:v1", "", "pass", "oci://quay.io/me/pass:v1@" + other},
		{"oci://localhost:5000/pass", "", "pass", "oci://localhost:5000/pass@" + other},
		{"oci://quay.io/me/pass:v1@" + digest, digest, "pass", "oci://quay.io/me/pass:v1@" + other},
		{"oci://quay.io/me/pass@" + digest, digest, "pass", "oci://quay.io/me/pass@" + other},
		{"oci://quay.io/me/pass@" + digest + "@prio=1", "", "pass", ""},
		{"oci://quay.io/me/pass@" + digest[:70], "", "pass", ""},
		{"oci://quay.io/me/pass@" + strings.ToUpper(digest), "", "pass", ""},
		{"pass.o@" + digest, "", "pass.o@sha256", ""},
	} {
		if got := Digest(c.object); got != c.digest {
			t.Errorf("%s has the digest %q, want %q", c.object, got, c.digest)
		}
		if got := Pin(c.object, other); c.pinned != "" && got != c.pinned {
			t.Errorf("%s becomes %s, want %s", c.object, got, c.pinned)
		}
		if got := Base(c.object); c.pinned != "" && got != c.base {
			t.Errorf("%s is called %s, want %s", c.object, got, c.base)
		}
	}
}
