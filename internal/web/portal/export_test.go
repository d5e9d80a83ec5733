package portal

import "net/http"

// RouteForTest is one method of one line of the table of routes.
type RouteForTest struct {
	Method, Path, By string
	Window, Guarded  bool
}

// RoutesForTest shows the table to the tests that walk it.
func RoutesForTest(p *Portal) []RouteForTest {
	var all []RouteForTest
	for _, rt := range p.table {
		if rt.get != nil {
			all = append(all, RouteForTest{"GET", rt.path, rt.getBy.String(), rt.form == window, rt.guarded})
		}
		if rt.post != nil {
			all = append(all, RouteForTest{"POST", rt.path, rt.postBy.String(), rt.form == window, rt.guarded})
		}
	}
	return all
}

// TextsForTest shows the catalogue.
func TextsForTest() map[string]string { return texts() }

// FailForTest answers with what an action's error becomes.
func FailForTest(p *Portal, w http.ResponseWriter, r *http.Request, err error) {
	x := p.exchange(w, r)
	x.finish(x.fail(err))
}
