"""The schedules and steps of 32_diffusion, taken out of the notebook, against the schedulers of diffusers."""

import pytest
import torch

from utils.workshop import lessons


def definitions(T, kind):
    """Take the notebook's imports, functions and classes, and set T and the schedule."""
    module = lessons.definitions("32_diffusion", WIDTH=24, K=12)  # the defaults of arguments
    module.T, module.device = T, torch.device("cpu")
    module.plan = module.Schedule(getattr(module, kind)(T))
    return module


def scheduler(name, T, kind, **more):
    import diffusers  # absent, the test fails: it is in the lock

    kind = {"linear": "linear", "cosine": "squaredcos_cap_v2"}[kind]
    return getattr(diffusers, name)(T, beta_schedule=kind, clip_sample=False, **more)


def drawn(*shape, count=2):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(*shape, generator=generator) for _ in range(count)]


@pytest.mark.parametrize(("kind", "T"), [("linear", 1000), ("cosine", 1000), ("cosine", 200), ("cosine", 50)])
def test_the_schedule_is_that_of_diffusers(kind, T):
    ours, theirs = definitions(T, kind).plan, scheduler("DDPMScheduler", T, kind)
    torch.testing.assert_close(ours.beta, theirs.betas, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ours.alpha_bar, theirs.alphas_cumprod, rtol=1e-4, atol=1e-7)
    if (kind, T) == ("linear", 1000):
        assert ours.alpha_bar[999].item() == pytest.approx(4.0358e-05, abs=1e-9)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_noising_and_velocity_are_those_of_diffusers(kind):
    lesson, theirs = definitions(200, kind), scheduler("DDPMScheduler", 200, kind)
    (x_0, eps), t = drawn(6, 1, 8, 8), torch.tensor([0, 1, 50, 120, 198, 199])
    torch.testing.assert_close(lesson.noised(x_0, t, eps), theirs.add_noise(x_0, eps, t), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(lesson.velocity(x_0, t, eps), theirs.get_velocity(x_0, eps, t), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("t", [1, 40, 199])
def test_a_step_back_is_that_of_diffusers(t):
    """The mean from their step without its noise, which they draw from the generator; the variance from theirs."""
    lesson, theirs = definitions(200, "cosine"), scheduler("DDPMScheduler", 200, "cosine", prediction_type="sample")
    x_t, x_0 = drawn(2, 1, 8, 8)
    mean, variance = lesson.posterior(x_t, x_0, t)
    noise = torch.randn(x_t.shape, generator=torch.Generator().manual_seed(1))
    stepped = theirs.step(x_0, t, x_t, generator=torch.Generator().manual_seed(1)).prev_sample
    torch.testing.assert_close(mean + variance.sqrt() * noise, stepped, rtol=1e-4, atol=1e-5)


def test_a_prediction_of_v_is_read_as_diffusers_reads_it():
    lesson = definitions(200, "cosine")
    theirs = scheduler("DDPMScheduler", 200, "cosine", prediction_type="v_prediction")
    x_t, v = drawn(2, 1, 8, 8)
    guess = lesson.x_0_from_v(x_t, torch.tensor([120, 120]), v)
    torch.testing.assert_close(guess, theirs.step(v, 120, x_t).pred_original_sample, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_is_that_of_diffusers(eta):
    """Five of 201 levels, 50 apart, with the same fresh noise; theirs reckons the gap as 201 // 4."""
    lesson = definitions(201, "cosine")
    theirs = scheduler("DDIMScheduler", 201, "cosine", prediction_type="sample")
    theirs.num_inference_steps = 4
    (start,) = drawn(2, 1, 8, 8, count=1)

    def denoise(x, t):
        return 0.3 * torch.tanh(x) + 0.001 * t

    torch.manual_seed(2)
    ours = lesson.ddim(denoise, start, 5, eta)
    torch.manual_seed(2)
    x = start
    for t in (200, 150, 100, 50, 0):
        x = theirs.step(denoise(x, t), t, x, eta=eta).prev_sample
    torch.testing.assert_close(ours, x, rtol=1e-4, atol=1e-4)
