package harness

import (
	"io"
	"net/http"
	"testing"
)

// Get is what a server of the machine answers with status 200. No connection stays.
func Get(t testing.TB, url string) string {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v\n%s", url, r.StatusCode, err, body)
	}
	return string(body)
}
