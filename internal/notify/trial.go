package notify

import (
	"context"
	"log/slog"
)

// Trial writes letters to the log instead of sending them, codes and links too: for
// trying things out alone.
type Trial struct{ Logger *slog.Logger }

// Send implements [Sender].
func (t Trial) Send(_ context.Context, l Letter) error {
	t.Logger.Warn("message, not sent but written here", "method", l.Method, "to", l.To, "kind", string(l.Kind), "subject", l.Subject, "text", l.Text)
	return nil
}
