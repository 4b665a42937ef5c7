// clip/train/signals.h — what a run is asked to do from outside.
#pragma once

namespace diptych {

/// While it lives, SIGHUP, SIGINT, SIGTERM, SIGXCPU and SIGXFSZ ask to save and stop, SIGUSR1 and
/// SIGUSR2 to save and go on; a third SIGINT ends the process at once. A SIGHUP that was ignored
/// before stays ignored, as nohup wants it. One object at a time.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// For the time before there is one: SIGUSR1 and SIGUSR2 are ignored, since there is nothing to
  /// save yet, and do not end the process.
  static void ignore_save_requests();

  int stop() const;          ///< the first signal that asked to stop; 0: none
  bool take_save_request();  ///< whether a save was asked for since the last call
};

const char* signal_name(int signal);  ///< "SIGTERM"; of those above

}  // namespace diptych
