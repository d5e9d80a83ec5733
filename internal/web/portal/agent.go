package portal

import "strings"

// agent says in plain words which program a User-Agent means ("Firefox on
// Windows"), for somebody who looks for a session that is not his own. What is
// not recognised comes back as it was sent; every program can call itself what
// it likes, and the page says so.
func (p *Portal) agent(header string) string {
	if header == "" {
		return p.say("sessions.unknown")
	}
	name := firstOf(header, [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"HeadlessChrome/", "Chromium"}, {"Chrome/", "Chrome"}, {"Version/", "Safari"},
	})
	system := firstOf(header, [][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"},
		{"CrOS", "ChromeOS"}, {"Linux", "Linux"},
	})
	if !strings.HasPrefix(header, "Mozilla/") || name == "" || system == "" {
		return header
	}
	return p.say("sessions.agent", name, system)
}

// firstOf returns the name beside the first mark that stands in the text.
func firstOf(text string, names [][2]string) string {
	for _, n := range names {
		if strings.Contains(text, n[0]) {
			return n[1]
		}
	}
	return ""
}
