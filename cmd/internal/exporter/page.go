package exporter

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/picture"
	"github.com/xdpmux/xdpmux/cmd/internal/rates"
	"github.com/xdpmux/xdpmux/dispatcher/observe"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed page.js
var pageJS string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// page is what the template shows.
type page struct {
	Style  template.CSS
	Script template.JS
	Host   string
	Live   template.HTML
}

// live is the part of it that changes.
type live struct {
	Time       string
	Interval   time.Duration
	Declared   *Declared // nil: nobody keeps anything
	Interfaces []interfaceRow
	Current    *DeclaredInterface // the interface that is shown; nil: nothing is declared of it
	Asked      string             // an interface that isn't among them
	Chains     []chainView
	Verdicts   []string
}

// interfaceRow is a line of the list.
type interfaceRow struct {
	Name, Shown string
	Rate        string
	Dropped     string // the part of it that was dropped; empty: none
	Condition   string // if that isn't as it should be
	Current     bool
}

// chainView is a chain's picture and its figures. Interfaces of the same name follow each other.
type chainView struct {
	Shown    string
	Picture  template.HTML
	Programs []programView
}

type programView struct {
	rates.Program
	Shown    string
	Prio     string
	Verdicts []rates.Verdict
}

// page is the whole page of one interface; empty: of the first.
func (s *sample) page(asked, host string) (string, error) {
	part, err := s.live(asked)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = pageTemplate.Execute(&b, page{Style: template.CSS(picture.Style + pageCSS), Script: template.JS(pageJS), Host: host, Live: template.HTML(part)})
	return b.String(), err
}

// live is the part of that page that changes.
func (s *sample) live(asked string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if part, done := s.rendered[asked]; done {
		return part, nil
	}
	var b strings.Builder
	if err := pageTemplate.ExecuteTemplate(&b, "live", s.view(asked)); err != nil {
		return "", err
	}
	// A stranger who asks for one name after the other fills no memory.
	if len(s.rendered) <= len(s.Chains) {
		s.rendered[asked] = b.String()
	}
	return b.String(), nil
}

func (s *sample) view(asked string) live {
	v := live{Time: s.Time.Format("2006-01-02 15:04:05"), Verdicts: observe.VerdictNames(), Declared: s.declared}
	if asked == "" {
		asked = s.first()
	}
	observed := map[string]bool{}
	for _, c := range s.Chains {
		drawn := c.Picture()
		row := interfaceRow{Name: c.Interface.Name, Shown: output.Shown(c.Interface.Name),
			Rate: drawn.Total.Short(), Dropped: dropped(c), Current: c.Interface.Name == asked}
		observed[row.Name] = true
		if d := s.declared.find(row.Name); d != nil && !d.Well {
			row.Condition = d.Condition
		}
		v.Interfaces = append(v.Interfaces, row)
		if row.Current {
			v.Chains = append(v.Chains, chainView{Shown: row.Shown, Picture: template.HTML(picture.Inline(drawn)), Programs: programViews(c)})
		}
	}
	if s.declared != nil {
		for _, d := range s.declared.Interfaces {
			if !observed[d.Name] {
				v.Interfaces = append(v.Interfaces, interfaceRow{Name: d.Name, Shown: output.Shown(d.Name), Condition: d.Condition, Current: d.Name == asked})
			}
		}
	}
	v.Current = s.declared.find(asked)
	if len(v.Chains) == 0 {
		v.Asked = output.Shown(asked)
	}
	return v
}

// first is the interface that is shown where none is asked for: one that isn't as it should be, or
// else one that has a chain.
func (s *sample) first() string {
	name := ""
	if s.declared != nil {
		for _, d := range s.declared.Interfaces {
			if !d.Well {
				return d.Name
			}
			name = cmp.Or(name, d.Name)
		}
	}
	if len(s.Chains) > 0 {
		return s.Chains[0].Interface.Name
	}
	return name
}

// dropped is the part of the packets of the last interval that ended with XDP_DROP or
// XDP_ABORTED.
func dropped(c rates.Chain) string {
	for _, p := range c.Programs {
		if p.Gone || p.PerSecond <= 0 || p.Role != observe.RoleDispatcher && p.Role != observe.RoleLegacy {
			continue
		}
		if part := (p.Verdicts["XDP_DROP"].PerSecond + p.Verdicts["XDP_ABORTED"].PerSecond + p.Verdicts["other"].PerSecond) / p.PerSecond; part > 0 {
			return fmt.Sprintf("%.1f%% dropped", 100*part)
		}
	}
	return ""
}

func programViews(c rates.Chain) []programView {
	var views []programView
	for _, p := range c.Programs {
		v := programView{Program: p, Shown: p.Shown()}
		if p.Priority != nil {
			v.Prio = fmt.Sprint(*p.Priority)
		}
		for _, name := range observe.VerdictNames() {
			v.Verdicts = append(v.Verdicts, p.Verdicts[name])
		}
		views = append(views, v)
	}
	return views
}

// pagePolicy lets a browser take nothing from anywhere but what is in the page itself.
var pagePolicy = func() string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; style-src " + hash(picture.Style+pageCSS) + "; script-src " + hash(pageJS) +
		"; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

func servePage(w http.ResponseWriter, r *http.Request, s *sampler) {
	text, err := s.newest().page(r.URL.Query().Get("interface"), r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	_, _ = w.Write([]byte(text))
}

// eventLimit is how long a browser may take for one event.
const eventLimit = 10 * time.Second

// serveEvents sends the part of the page that changes as server-sent events, one for each
// sample.
func serveEvents(w http.ResponseWriter, r *http.Request, s *sampler) {
	asked := r.URL.Query().Get("interface")
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	err := s.watch(r.Context(), func(now *sample) error {
		part, err := now.live(asked)
		if err != nil {
			return err
		}
		if err := control.SetWriteDeadline(time.Now().Add(eventLimit)); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", strings.ReplaceAll(part, "\n", "\ndata: ")); err != nil {
			return err
		}
		return control.Flush()
	})
	if errors.Is(err, errTooMany) { // with any other error the browser has gone
		w.Header().Set("Retry-After", "5") // seconds
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}
