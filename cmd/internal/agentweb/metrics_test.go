package agentweb

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/agent"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// TestOddNames: the kernel and file systems take bytes in names that are no UTF-8. They are served, and
// end nothing.
func TestOddNames(t *testing.T) {
	s := &agent.Status{
		Interfaces: []agent.Interface{{Interface: xdp.Interface{Name: "a\xff"}, Condition: agent.AsDeclared}, {Interface: xdp.Interface{Name: "a\xfe"}, Condition: agent.AsDeclared}},
		Late:       []agent.Late{{Path: "/etc/xdpmux/\xff.yaml", Why: agent.Writing}},
	}
	mux := Handlers(View{Status: func() *agent.Status { return s }, Packets: func() *observe.Snapshot { return &observe.Snapshot{Time: time.Now()} }})
	for path, want := range map[string]string{"/metrics": `file="/etc/xdpmux/\\xff.yaml"`, "/": "<!"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d, no %s in\n%s", path, w.Code, want, w.Body)
		}
	}
}
