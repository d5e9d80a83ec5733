package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// look is one way in which a page is seen.
type look struct {
	name          string
	width, height int64
	scheme        string
}

func looks() []look {
	return []look{{"light", 1280, 900, "light"}, {"dark", 1280, 900, "dark"}, {"narrow", 360, 740, "light"}}
}

// as makes the browser see pages in this way.
func (l look) as() chromedp.Action[chromedp.Void] {
	return chromedp.Steps(chromedp.EmulateViewport(l.width, l.height), media(&emulation.MediaFeature{Name: "prefers-color-scheme", Value: l.scheme}))
}

func media(features ...*emulation.MediaFeature) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	})
}

// walk is one browser on its way through all pages of one gateway. The pages
// run no JavaScript: it is switched on for the moment in which axe-core looks,
// by the browser's own debugger, so that the policy of the pages stays in force.
type walk struct {
	tab
	s        *server
	axe      string // the library's text
	pictures string // a directory; empty: none are taken
	seen     []string

	mu      sync.Mutex
	refused []string // what the policy of a page kept from happening
}

// newWalk starts a gateway with this configuration, and a browser for which
// everything below example.com is that gateway.
func newWalk(t *testing.T, config string, args ...string) *walk {
	t.Helper()
	axe, err := os.ReadFile(filepath.Join("..", ".cache", "axe", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatalf("axe-core is not there. This installs it, and so does make test:\n\n\tscripts/axe.sh\n\n%v", err)
	}
	file := filepath.Join(t.TempDir(), "gateway.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveBinary(t, t.TempDir(), append([]string{"--config", file}, args...)...)
	ctx := chromium(t,
		chromedp.Flag("host-resolver-rules", "MAP *.example.com "+s.addr),
		chromedp.Flag("hide-scrollbars", true), // as on a phone, where they take no room
		chromedp.Flag("disable-features", "HttpsUpgrades,HttpsFirstBalancedModeAutoEnable"),
	)
	w := &walk{tab: tab{t: t, ctx: ctx}, s: s, axe: string(axe), pictures: os.Getenv("SALLYPORT_SCREENSHOTS")}
	if err := chromedp.Listen(ctx, w.listen); err != nil {
		t.Fatal(err)
	}
	return w
}

// listen keeps what the browser says that it refused.
func (w *walk) listen(event any) {
	e, ok := event.(*log.EventEntryAdded)
	if !ok || e.Entry.Source != log.EntrySourceSecurity && !strings.Contains(e.Entry.Text, "Content Security Policy") {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = append(w.refused, e.Entry.Text)
}

// end says what was seen on the way as a whole.
func (w *walk) end(pages int) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.refused {
		w.t.Errorf("the browser refused something on our pages: %s", text)
	}
	if len(w.seen) != pages {
		w.t.Errorf("%d pages were seen, not %d: %s", len(w.seen), pages, w.seen)
	}
}

// see is what happens on each page: it must be the one with this heading, and
// in no look may anything be wrong with it.
func (w *walk) see(name, heading string) {
	w.t.Helper()
	if slices.Contains(w.seen, name) {
		w.t.Fatalf("two pages are called %s", name)
	}
	w.seen = append(w.seen, name)
	if h1 := read(w.tab, "read the heading", chromedp.Text(chromedp.CSS("h1"))); h1 != heading {
		w.t.Fatalf("%s: the heading is %q, not %q:\n%s", name, h1, heading, w.text())
	}
	title := read(w.tab, "read the title", chromedp.Title())
	status := read(w.tab, "read the status", chromedp.Evaluate[int](`performance.getEntriesByType('navigation')[0].responseStatus`))
	if failed := strings.HasPrefix(title, "Error: "+heading+" "); failed != (status >= 400) {
		w.t.Errorf("%s: the title of an answer %d is %q", name, status, title)
	}
	for _, l := range looks() {
		w.do("look "+l.name, l.as())
		w.judge(name + ", " + l.name)
		w.photograph(name + "-" + l.name)
	}
	w.touch(name)
	w.do("look as before", looks()[0].as())
}

type violation struct {
	ID, Impact, Help string
	Nodes            []struct{ Target []json.RawMessage }
}

// judge asks axe-core about the page as it is seen now. Everything that it
// finds fails the test, not only what it calls serious.
func (w *walk) judge(what string) {
	w.t.Helper()
	w.do("switch scripts on", scripts(true))
	w.do("load axe-core", chromedp.Evaluate[chromedp.Void](w.axe+";0"))
	found := read(w.tab, "ask axe-core", chromedp.Evaluate[struct {
		Passes     int
		Violations []violation
	}](`axe.run({rules: {'target-size': {enabled: true}}, preload: false}).then(r => ({passes: r.passes.length, violations: r.violations}))`,
		chromedp.EvalAwaitPromise))
	w.do("switch scripts off", scripts(false))
	if found.Passes < 10 {
		w.t.Errorf("%s: axe-core looked at %d things only", what, found.Passes)
	}
	for _, v := range found.Violations {
		for _, n := range v.Nodes {
			w.t.Errorf("%s: %s (%s) at %s: %s", what, v.ID, v.Impact, n.Target, v.Help)
		}
	}
}

// touch checks on narrow screens, as which enlarged ones count too, that a
// finger can press what is to be pressed, and that nothing is too wide; and that
// who uses the keyboard sees where he is.
func (w *walk) touch(name string) {
	w.t.Helper()
	const small = `[...document.querySelectorAll('a[href], button, summary, input, textarea, .check label')].filter(e => {
		const r = e.getBoundingClientRect();
		return r.width > 0 && e.type !== 'checkbox' && (r.height < 44 || r.width < 44);
	}).map(e => e.outerHTML.slice(0, 120))`
	const unseen = `[...document.querySelectorAll('a[href], button, summary, input, textarea')].filter(e => e.checkVisibility({contentVisibilityAuto: true})).filter(e => {
		e.focus();
		const s = getComputedStyle(e);
		return document.activeElement !== e || s.outlineStyle === 'none' || parseFloat(s.outlineWidth) < 2;
	}).map(e => e.outerHTML.slice(0, 120))`
	const over = `document.documentElement.scrollWidth - document.documentElement.clientWidth`
	for _, s := range []struct {
		what          string
		width, height int64
	}{{"a phone", 360, 740}, {"the smallest screen, or 400 % zoom", 320, 256}, {"200 % zoom", 640, 450}} {
		w.do("look at "+s.what, chromedp.EmulateViewport(s.width, s.height))
		for _, e := range read(w.tab, "measure what can be pressed", chromedp.Evaluate[[]string](small)) {
			w.t.Errorf("%s on %s: smaller than a finger: %s", name, s.what, e)
		}
		if n := read(w.tab, "measure the width", chromedp.Evaluate[int](over)); n > 0 {
			w.t.Errorf("%s on %s: %d pixels too wide", name, s.what, n)
		}
	}
	w.do("take the keyboard", chromedp.KeyEvent("\t"))
	for _, e := range read(w.tab, "focus everything in turn", chromedp.Evaluate[[]string](unseen)) {
		w.t.Errorf("%s: the keyboard's place cannot be seen: %s", name, e)
	}
}

// photograph leaves a picture of the page, cut to what is on it.
func (w *walk) photograph(name string) {
	w.t.Helper()
	if w.pictures == "" {
		return
	}
	const box = `(() => {
		const main = document.querySelector('main').getBoundingClientRect();
		const all = document.documentElement.clientWidth, width = Math.min(Math.ceil(main.width) + 92, all);
		const end = main.bottom + window.scrollY;
		return {x: Math.round((all - width) / 2), y: 0, width: width, height: Math.ceil(end + 24), scale: 1};
	})()`
	at := read(w.tab, "measure the page", chromedp.Evaluate[page.Viewport](box))
	shot := read(w.tab, "photograph "+name, func(ctx context.Context, t *chromedp.Target) ([]byte, error) {
		beyond := true
		r, err := cdp.Call(ctx, t, page.CaptureScreenshot, page.CaptureScreenshotParams{
			Format: page.CaptureScreenshotFormatPng, CaptureBeyondViewport: &beyond, Clip: &at,
		})
		if err != nil {
			return nil, err
		}
		return r.Data, nil
	})
	small, err := shrunk(shot)
	if err == nil {
		err = os.WriteFile(filepath.Join(w.pictures, name+".png"), small, 0o644)
	}
	if err != nil {
		w.t.Fatalf("photograph %s: %v", name, err)
	}
}

// shrunk paints a picture with the 64 colours that it has most of, each other
// one as its nearest: our pages have few.
func shrunk(shot []byte) ([]byte, error) {
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return nil, fmt.Errorf("read the picture: %w", err)
	}
	b := img.Bounds()
	count := map[color.Color]int{}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			count[img.At(x, y)]++
		}
	}
	colours := color.Palette(slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return cmp.Compare(count[b], count[a]) }))
	colours = colours[:min(len(colours), 64)]
	nearest := map[color.Color]uint8{}
	for c := range count {
		nearest[c] = uint8(colours.Index(c))
	}
	flat := image.NewPaletted(b, colours)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			flat.SetColorIndex(x, y, nearest[img.At(x, y)])
		}
	}
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, flat)
	return out.Bytes(), err
}
