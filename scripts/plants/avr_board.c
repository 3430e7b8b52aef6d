/* An Arduino board whose firmware is executed (simavr), with a nonlinear circuit from its PWM pins to its analog pins.
 *
 *   gcc -O2 -o avr_board avr_board.c -I/usr/include/simavr -lsimavr -lelf -lm
 *   ./avr_board uno|mega FIRMWARE.hex CIRCUIT.txt [--seed N] [--keep-running]
 *
 * Prints "PORT <pseudo-terminal>" and runs in real time, or as fast as it can if that is slower, until its standard
 * input ends. Opening the port resets the board, as the line "data terminal ready" does on the real one, unless
 * --keep-running is given; the reset's start-up is not waited for in real time. Lines on the standard input:
 *   pins      answered by the voltages that the pins make now, in V
 *   settled   answered by the analog pins' voltages now, without noise, in V
 *   time      answered by the time that has passed for the board, in s
 *   reset     the firmware starts anew, as after a dip of the supply
 *   lose N    every Nth byte from now on is lost on its way from the board; 0: none
 *
 * The circuit is the one of pnnlab.physics.OscillatorNetwork, integrated here by the fourth-order Runge-Kutta method:
 * each pin's mean voltage (an ideal filter takes the ripple off) passes a low-pass, drives coupled oscillators, and an
 * analog pin sees ZERO + SATURATION tanh(sum output_gain x / SATURATION) with normal noise at the moment at which it is
 * sampled. CIRCUIT.txt holds numbers: n, n_in, n_out, reference_hz, bandwidth_hz, saturation_v, zero_v, noise_rms_v,
 * supply_v, then frequency[n], damping[n], cubic[n], coupling[n][n], input_gain[n][n_in], output_gain[n_out][n].
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "avr_adc.h"
#include "avr_uart.h"
#include "sim_avr.h"
#include "sim_hex.h"

#define PI 3.14159265358979323846
#define CLOCK_HZ 16000000
#define SLICE_S 50e-6 /* the circuit's integration step */
#define LOOK_S 0.5e-3 /* how often the cable is looked at */
#define MAX_PINS 16

/* A PWM pin by the addresses of its port, its timer's control register A and its compare register. Timer 0 counts up
 * (fast PWM: high for code + 1 of 256 ticks), the others up and down (phase-correct: code of 255). */
typedef struct {
    int port, bit, control, enable, compare, fast;
} pin_t;

typedef struct {
    const char *name, *chip;
    int n_pins;
    pin_t pins[MAX_PINS];
} board_t;

enum { A = 0xC0, B = 0x30, C = 0x0C }; /* compare output mode of channel A, B, C in TCCRnA */

static const board_t BOARDS[] = {
    {"uno", "atmega328p", 6, /* pins 3, 5, 6, 9, 10, 11 */
     {{0x2B, 3, 0xB0, B, 0xB4, 0}, {0x2B, 5, 0x44, B, 0x48, 1}, {0x2B, 6, 0x44, A, 0x47, 1},
      {0x25, 1, 0x80, A, 0x88, 0}, {0x25, 2, 0x80, B, 0x8A, 0}, {0x25, 3, 0xB0, A, 0xB3, 0}}},
    {"mega", "atmega2560", 15, /* pins 2 to 13 and 44 to 46 */
     {{0x2E, 4, 0x90, B, 0x9A, 0}, {0x2E, 5, 0x90, C, 0x9C, 0}, {0x34, 5, 0x44, B, 0x48, 1},
      {0x2E, 3, 0x90, A, 0x98, 0}, {0x102, 3, 0xA0, A, 0xA8, 0}, {0x102, 4, 0xA0, B, 0xAA, 0},
      {0x102, 5, 0xA0, C, 0xAC, 0}, {0x102, 6, 0xB0, B, 0xB4, 0}, {0x25, 4, 0xB0, A, 0xB3, 0},
      {0x25, 5, 0x80, A, 0x88, 0}, {0x25, 6, 0x80, B, 0x8A, 0}, {0x25, 7, 0x44, A, 0x47, 1},
      {0x10B, 5, 0x120, C, 0x12C, 0}, {0x10B, 4, 0x120, B, 0x12A, 0}, {0x10B, 3, 0x120, A, 0x128, 0}}},
};

/* The circuit */

static struct {
    int n, n_in, n_out;
    double w, pole, saturation_v, zero_v, noise_v, supply_v;
    double *frequency, *damping, *cubic, *coupling, *input_gain, *output_gain;
    double *state, *drive; /* x, x', filtered drive; pins */
    double *k[4], *at;
} circuit;

static double number(FILE *file)
{
    double value;
    if (fscanf(file, "%lf", &value) != 1) {
        fprintf(stderr, "the circuit's file ends too early, or holds something that is no number\n");
        exit(3);
    }
    return value;
}

static double *numbers(FILE *file, int n)
{
    double *values = calloc(n, sizeof *values);
    for (int i = 0; file && i < n; i++) values[i] = number(file);
    return values;
}

static void read_circuit(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(3);
    }
    int n = circuit.n = (int)number(file), n_in = circuit.n_in = (int)number(file);
    circuit.n_out = (int)number(file);
    double reference_hz = number(file);
    circuit.w = 2 * PI * reference_hz;
    circuit.pole = number(file) / reference_hz;
    circuit.saturation_v = number(file);
    circuit.zero_v = number(file);
    circuit.noise_v = number(file);
    circuit.supply_v = number(file);
    circuit.frequency = numbers(file, n);
    circuit.damping = numbers(file, n);
    circuit.cubic = numbers(file, n);
    circuit.coupling = numbers(file, n * n);
    circuit.input_gain = numbers(file, n * n_in);
    circuit.output_gain = numbers(file, circuit.n_out * n);
    fclose(file);
    int size = 2 * n + n_in;
    circuit.state = numbers(NULL, size);
    circuit.at = numbers(NULL, size);
    circuit.drive = numbers(NULL, n_in);
    for (int i = 0; i < 4; i++) circuit.k[i] = numbers(NULL, size);
}

/* d/dt of a state, in 1/s */
static void slope(const double *state, double *rate)
{
    int n = circuit.n, n_in = circuit.n_in;
    const double *x = state, *v = state + n, *a = state + 2 * n;
    for (int i = 0; i < n; i++) {
        double force = -circuit.damping[i] * v[i] - circuit.frequency[i] * circuit.frequency[i] * x[i]
                       - circuit.cubic[i] * x[i] * x[i] * x[i];
        for (int j = 0; j < n; j++) force -= circuit.coupling[i * n + j] * (x[i] - x[j]);
        for (int c = 0; c < n_in; c++) force += circuit.input_gain[i * n_in + c] * a[c];
        rate[i] = circuit.w * v[i];
        rate[n + i] = circuit.w * force;
    }
    for (int c = 0; c < n_in; c++) rate[2 * n + c] = circuit.w * circuit.pole * (circuit.drive[c] - a[c]);
}

static void advance(double step_s)
{
    static const double part[3] = {0.5, 0.5, 1.0};
    int size = 2 * circuit.n + circuit.n_in;
    slope(circuit.state, circuit.k[0]);
    for (int stage = 0; stage < 3; stage++) {
        for (int i = 0; i < size; i++)
            circuit.at[i] = circuit.state[i] + part[stage] * step_s * circuit.k[stage][i];
        slope(circuit.at, circuit.k[stage + 1]);
    }
    for (int i = 0; i < size; i++)
        circuit.state[i] += step_s / 6
                            * (circuit.k[0][i] + 2 * circuit.k[1][i] + 2 * circuit.k[2][i] + circuit.k[3][i]);
}

/* xorshift64* and Box and Muller's transform */
static uint64_t seed = 1;

static double uniform(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return ((seed * 2685821657736338717ULL >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void)
{
    return sqrt(-2 * log(uniform())) * cos(2 * PI * uniform());
}

static double voltage_at(int channel)
{
    double sum = 0;
    for (int i = 0; i < circuit.n; i++) sum += circuit.output_gain[channel * circuit.n + i] * circuit.state[i];
    return circuit.zero_v + circuit.saturation_v * tanh(sum / circuit.saturation_v);
}

/* The board */

static const board_t *board;
static avr_t *avr;
static avr_irq_t *analog, *received;
static int port = -1, talks, may_send = 1;
static long lost_every, n_bytes;
static uint8_t said[1 << 16];
static size_t n_said;

static void read_pins(void)
{
    for (int c = 0; c < circuit.n_in; c++) {
        const pin_t *pin = &board->pins[c];
        const uint8_t *data = avr->data;
        double duty = (data[pin->port] >> pin->bit) & 1;
        if (data[pin->control] & pin->enable)
            duty = pin->fast ? (data[pin->compare] + 1) / 256.0 : data[pin->compare] / 255.0;
        circuit.drive[c] = circuit.supply_v * duty;
    }
}

/* A conversion begins: give the voltage for which simavr finds the code of the chip's data sheet, 1024 V / supply. */
static void on_conversion(avr_irq_t *irq, uint32_t value, void *param)
{
    union { avr_adc_mux_t mux; uint32_t v; } which = {.v = value};
    double volts = which.mux.src < circuit.n_out ? voltage_at(which.mux.src) + circuit.noise_v * normal() : 0;
    double code = floor(volts * 1024 / circuit.supply_v);
    code = code < 0 ? 0 : code > 1023 ? 1023 : code;
    avr_raise_irq(analog + ADC_IRQ_ADC0 + which.mux.src, (uint32_t)ceil(code * avr->avcc / 1023));
}

static void on_byte(avr_irq_t *irq, uint32_t value, void *param)
{
    talks = 1;
    if (lost_every && ++n_bytes % lost_every == 0) return;
    if (n_said < sizeof said) said[n_said++] = (uint8_t)value;
}

static void on_xon(avr_irq_t *irq, uint32_t value, void *param)
{
    may_send = 1;
}

static void on_xoff(avr_irq_t *irq, uint32_t value, void *param)
{
    may_send = 0;
}

static void power_on(const char *kind, const char *hex)
{
    for (size_t i = 0; i < sizeof BOARDS / sizeof *BOARDS; i++)
        if (!strcmp(BOARDS[i].name, kind)) board = &BOARDS[i];
    if (!board || circuit.n_in > board->n_pins) {
        fprintf(stderr, "no board %s with %d PWM pins\n", kind, circuit.n_in);
        exit(2);
    }
    uint32_t size, start;
    uint8_t *image = read_ihex_file(hex, &size, &start);
    avr = avr_make_mcu_by_name(board->chip);
    if (!image || !avr) exit(4);
    avr_init(avr);
    avr->frequency = CLOCK_HZ;
    avr->vcc = avr->avcc = avr->aref = (uint32_t)lround(1000 * circuit.supply_v);
    avr->log = LOG_ERROR;
    memcpy(avr->flash + start, image, size);
    avr->pc = avr->reset_pc = start;
    avr->codeend = avr->flashend;
    uint32_t flags = 0;
    avr_ioctl(avr, AVR_IOCTL_UART_GET_FLAGS('0'), &flags);
    flags &= ~AVR_UART_FLAG_STDIO;
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    analog = avr_io_getirq(avr, AVR_IOCTL_ADC_GETIRQ, 0);
    received = avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_INPUT);
    avr_irq_register_notify(analog + ADC_IRQ_OUT_TRIGGER, on_conversion, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), on_byte, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XON), on_xon, NULL);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUT_XOFF), on_xoff, NULL);
}

/* The cable */

static void open_port(void)
{
    port = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (port < 0 || grantpt(port) || unlockpt(port)) exit(5);
    int theirs = open(ptsname(port), O_RDWR | O_NOCTTY);
    struct termios line;
    tcgetattr(theirs, &line);
    cfmakeraw(&line);
    tcsetattr(theirs, TCSANOW, &line);
    close(theirs); /* from now on it is seen whether somebody has opened it */
    printf("PORT %s\n", ptsname(port));
    fflush(stdout);
}

static int is_open(void)
{
    struct pollfd watched = {.fd = port, .events = POLLIN};
    poll(&watched, 1, 0);
    return !(watched.revents & POLLHUP);
}

static void carry(int open)
{
    uint8_t byte;
    while (may_send && read(port, &byte, 1) == 1) avr_raise_irq(received, byte);
    size_t sent = 0;
    while (open && sent < n_said) {
        ssize_t now = write(port, said + sent, n_said - sent);
        if (now <= 0) break;
        sent += (size_t)now;
    }
    if (!open) sent = n_said; /* nobody listens */
    memmove(said, said + sent, n_said - sent);
    n_said -= sent;
}

static void print_voltages(int n, double (*voltage)(int))
{
    for (int i = 0; i < n; i++) printf("%.9g%c", voltage(i), i + 1 < n ? ' ' : '\n');
    fflush(stdout);
}

static double pin_voltage(int pin)
{
    return circuit.drive[pin];
}

static void reset(void)
{
    avr_reset(avr);
    talks = 0;
    n_said = 0;
    may_send = 1;
}

static void obey(void)
{
    static char line[64];
    static size_t n;
    struct pollfd watched = {.fd = 0, .events = POLLIN};
    while (poll(&watched, 1, 0) > 0) {
        if (n == sizeof line - 1) n = 0;
        ssize_t came = read(0, line + n, 1);
        if (came <= 0) exit(0);
        if (line[n] != '\n') {
            n++;
            continue;
        }
        line[n] = 0;
        n = 0;
        if (!strcmp(line, "pins")) print_voltages(circuit.n_in, pin_voltage);
        else if (!strcmp(line, "settled")) print_voltages(circuit.n_out, voltage_at);
        else if (!strcmp(line, "time")) {
            printf("%.9g\n", (double)avr->cycle / CLOCK_HZ);
            fflush(stdout);
        } else if (!strcmp(line, "reset")) reset();
        else if (!strncmp(line, "lose ", 5)) {
            lost_every = atol(line + 5);
            n_bytes = 0;
        }
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}

/* Execute the firmware, and the circuit with it, for a time. */
static void execute(double time_s)
{
    for (int slice = 0; slice < lround(time_s / SLICE_S); slice++) {
        avr_cycle_count_t until = avr->cycle + (avr_cycle_count_t)lround(SLICE_S * CLOCK_HZ);
        while (avr->cycle < until) {
            int state = avr_run(avr);
            if (state == cpu_Done || state == cpu_Crashed) {
                fprintf(stderr, "the firmware has crashed\n");
                exit(6);
            }
        }
        read_pins();
        advance(SLICE_S);
    }
}

static void run(int keeps_running)
{
    double zero_s = seconds() - (double)avr->cycle / CLOCK_HZ; /* real time at which cycle 0 would have been */
    int was_open = 0;
    for (;;) {
        int open = is_open();
        if (open && !was_open && !keeps_running) reset();
        was_open = open;
        obey();
        carry(open);
        execute(LOOK_S);
        double ahead_s = zero_s + (double)avr->cycle / CLOCK_HZ - seconds();
        if (!talks || ahead_s < -0.1) zero_s -= ahead_s; /* it starts up, or the computer is too slow: do not catch up */
        else if (ahead_s > 0) usleep((useconds_t)(1e6 * ahead_s));
    }
}

int main(int argc, char **argv)
{
    int keeps_running = 0;
    if (argc < 4) {
        fprintf(stderr, "usage: %s uno|mega FIRMWARE.hex CIRCUIT.txt [--seed N] [--keep-running]\n", *argv);
        return 2;
    }
    for (int i = 4; i < argc; i++) {
        if (!strcmp(argv[i], "--keep-running")) keeps_running = 1;
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc) seed = strtoull(argv[++i], NULL, 10) * 2 + 1;
        else return 2;
    }
    read_circuit(argv[3]);
    power_on(argv[1], argv[2]);
    if (keeps_running) { /* who opens the port finds it started */
        while (!talks) execute(LOOK_S);
        execute(0.1);
        n_said = 0;
    }
    open_port();
    run(keeps_running);
    return 0;
}
